/* Every function of hornbeam.h, with arguments that fit and with such that do not: ./every digits.hornbeam */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hornbeam.h"

enum { PIXELS = 28 * 28, CLASSES = 10, THREADS = 4, RUNS = 20 };

/* The error must have this code and a text that contains `part`. */
static void expect(HornbeamError *error, HornbeamErrorCode code, const char *part) {
  if (error == NULL || hornbeam_error_code(error) != code ||
      strstr(hornbeam_error_message(error), part) == NULL) {
    printf("expected %d, %s; got %s\n", (int)code, part, error ? hornbeam_error_message(error) : "no error");
    exit(1);
  }
  hornbeam_error_free(error);
}

static void succeed(HornbeamError *error) {
  if (error != NULL) {
    printf("%s\n", hornbeam_error_message(error));
    exit(1);
  }
}

static const HornbeamSignature *find(const HornbeamModel *model) {
  const HornbeamSignature *signature;
  succeed(hornbeam_model_signature(model, "predict", &signature));
  return signature;
}

/* The scores of a batch of images, copied to `scores`. */
static void predict(const HornbeamSignature *signature, size_t rows, float *scores) {
  float *pixels = malloc(rows * PIXELS * sizeof *pixels + 1);
  for (size_t i = 0; i < rows * PIXELS; i++) pixels[i] = (float)(i % 251) / 251;
  /* Memory that is not aligned. */
  char *unaligned = (char *)pixels + 1;
  memmove(unaligned, pixels, rows * PIXELS * sizeof *pixels);
  const size_t shape[] = {rows, 28, 28, 1};
  HornbeamTensor input = {HORNBEAM_DTYPE_FLOAT32, 4, shape, unaligned}, output;
  HornbeamOutputs *outputs;
  succeed(hornbeam_run(signature, &input, 1, &outputs));
  free(pixels);
  assert(hornbeam_outputs_count(outputs) == 1);
  succeed(hornbeam_outputs_get(outputs, 0, &output));
  assert(output.dtype == HORNBEAM_DTYPE_FLOAT32 && output.rank == 2);
  assert(output.shape[0] == rows && output.shape[1] == CLASSES);
  memcpy(scores, output.data, rows * CLASSES * sizeof *scores);
  expect(hornbeam_outputs_get(outputs, 1, &output), HORNBEAM_ERROR_CODE_ARGUMENT, "index 1 of 1");
  hornbeam_outputs_free(outputs);
}

static void *work(void *signature) {
  float alone[CLASSES], again[CLASSES], many[7 * CLASSES];
  predict(signature, 1, alone);
  for (int i = 0; i < RUNS; i++) {
    predict(signature, 1, again);
    assert(memcmp(alone, again, sizeof alone) == 0);
    predict(signature, (size_t)(i % 7) + 1, many);
  }
  return NULL;
}

static void bad_inputs(const HornbeamSignature *signature) {
  const size_t shape[] = {1, 28, 28, 1}, wrong[] = {1, 28, 27, 1}, huge[] = {(size_t)-1, (size_t)-1, 2, 2};
  static const float pixels[PIXELS];
  HornbeamTensor input = {HORNBEAM_DTYPE_FLOAT32, 4, wrong, pixels};
  HornbeamOutputs *outputs;
  expect(hornbeam_run(signature, &input, 1, &outputs), HORNBEAM_ERROR_CODE_ARGUMENT, "float32[batch, 28, 28, 1]");
  expect(hornbeam_run(signature, NULL, 0, &outputs), HORNBEAM_ERROR_CODE_ARGUMENT, "expected 1 inputs");
  expect(hornbeam_run(NULL, NULL, 0, &outputs), HORNBEAM_ERROR_CODE_ARGUMENT, "signature is NULL");
  input.shape = huge;
  expect(hornbeam_run(signature, &input, 1, &outputs), HORNBEAM_ERROR_CODE_ENGINE, "too large");
  input.shape = shape;
  expect(hornbeam_run(signature, &input, 1, NULL), HORNBEAM_ERROR_CODE_ARGUMENT, "outputs is NULL");
  input.data = NULL;
  expect(hornbeam_run(signature, &input, 1, &outputs), HORNBEAM_ERROR_CODE_ARGUMENT, "has no data");
  input.dtype = 77;
  expect(hornbeam_run(signature, &input, 1, &outputs), HORNBEAM_ERROR_CODE_ARGUMENT, "no known dtype");
}

static void specs(const HornbeamSignature *signature) {
  HornbeamSpec spec;
  assert(hornbeam_signature_input_count(signature) == 1 && hornbeam_signature_output_count(signature) == 1);
  succeed(hornbeam_signature_input(signature, 0, &spec));
  assert(spec.rank == 4 && spec.shape[0] == -1 && spec.shape[1] == 28 && spec.shape[3] == 1);
  assert(spec.dtype == HORNBEAM_DTYPE_FLOAT32 && strlen(spec.name) > 0);
  succeed(hornbeam_signature_output(signature, 0, &spec));
  assert(spec.rank == 2 && spec.shape[1] == CLASSES);
  expect(hornbeam_signature_input(signature, 1, &spec), HORNBEAM_ERROR_CODE_ARGUMENT, "index 1 of 1");
  expect(hornbeam_signature_output(signature, 0, NULL), HORNBEAM_ERROR_CODE_ARGUMENT, "spec is NULL");
}

/* The file in memory, whole and cut short. */
static void from_memory(const char *path) {
  FILE *file = fopen(path, "rb");
  assert(file != NULL && fseek(file, 0, SEEK_END) == 0);
  const size_t size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(size);
  assert(fread(data, 1, size, file) == size);
  fclose(file);
  HornbeamModel *model;
  expect(hornbeam_model_from_memory(data, size - 1, &model), HORNBEAM_ERROR_CODE_FILE, "not a frozen model");
  expect(hornbeam_model_from_memory(NULL, 0, &model), HORNBEAM_ERROR_CODE_FILE, "not a frozen model");
  data[size - 100] ^= 1;
  expect(hornbeam_model_from_memory(data, size, &model), HORNBEAM_ERROR_CODE_FILE, "damaged");
  data[size - 100] ^= 1;
  succeed(hornbeam_model_from_memory(data, size, &model));
  free(data);
  float scores[CLASSES];
  predict(find(model), 1, scores);
  hornbeam_model_free(model);
}

int main(int argc, char **argv) {
  assert(argc == 2 && strcmp(hornbeam_version(), "") != 0);
  HornbeamModel *model;
  expect(hornbeam_model_open("missing", &model), HORNBEAM_ERROR_CODE_IO, "No such file");
  expect(hornbeam_model_open(NULL, &model), HORNBEAM_ERROR_CODE_ARGUMENT, "path is NULL");
  expect(hornbeam_model_open(argv[1], NULL), HORNBEAM_ERROR_CODE_ARGUMENT, "model is NULL");
  expect(hornbeam_model_open("\xff", &model), HORNBEAM_ERROR_CODE_ARGUMENT, "not UTF-8");
  succeed(hornbeam_model_open(argv[1], &model));
  assert(strstr(hornbeam_model_description(model), "\"predict\"") != NULL);
  const HornbeamSignature *signature;
  expect(hornbeam_model_signature(model, "serve", &signature), HORNBEAM_ERROR_CODE_ARGUMENT, "it has predict");
  signature = find(model);
  specs(signature);
  bad_inputs(signature);
  hornbeam_set_threads(2);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert(pthread_create(&threads[i], NULL, work, (void *)signature) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  hornbeam_model_free(model);
  from_memory(argv[1]);
  hornbeam_model_free(NULL);
  hornbeam_outputs_free(NULL);
  hornbeam_error_free(NULL);
  printf("all functions agree\n");
  return 0;
}
