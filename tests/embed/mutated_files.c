/* Frozen files, most of them damaged, one after the other: ./mutated FILES, each a size of 8 bytes and its bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hornbeam.h"

enum { MOST_INPUTS = 8, MOST_BYTES = 1 << 20 };

static int counts[HORNBEAM_ERROR_CODE_INTERNAL + 1];

/* Count the error, if there is one: 0 is success. */
static int failed(HornbeamError *error) {
  const int code = error == NULL ? 0 : (int)hornbeam_error_code(error);
  counts[code]++;
  if (code == HORNBEAM_ERROR_CODE_INTERNAL || (code != 0 && strlen(hornbeam_error_message(error)) < 10)) {
    printf("%d: %s\n", code, hornbeam_error_message(error));
  }
  hornbeam_error_free(error);
  return code;
}

/* Run on zeros, two of each size that is not known. */
static void run(const HornbeamSignature *signature) {
  static const char zeros[MOST_BYTES];
  static size_t shapes[MOST_INPUTS][16];
  HornbeamTensor inputs[MOST_INPUTS], output;
  const size_t count = hornbeam_signature_input_count(signature);
  if (count > MOST_INPUTS) return;
  for (size_t i = 0; i < count; i++) {
    HornbeamSpec spec;
    size_t size = 8;
    if (failed(hornbeam_signature_input(signature, i, &spec)) || spec.rank > 16) return;
    for (size_t axis = 0; axis < spec.rank; axis++) {
      shapes[i][axis] = spec.shape[axis] < 0 ? 2 : (size_t)spec.shape[axis];
      if (shapes[i][axis] > MOST_BYTES || (size *= shapes[i][axis]) > MOST_BYTES) return;
    }
    inputs[i] = (HornbeamTensor){spec.dtype, spec.rank, shapes[i], zeros};
  }
  HornbeamOutputs *outputs;
  if (failed(hornbeam_run(signature, inputs, count, &outputs))) return;
  volatile uint64_t sum = 0;
  for (size_t i = 0; i < hornbeam_outputs_count(outputs); i++) {
    static const unsigned char sizes[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
    if (failed(hornbeam_outputs_get(outputs, i, &output))) continue;
    size_t bytes = output.dtype < sizeof sizes ? sizes[output.dtype] : 1;
    for (size_t axis = 0; axis < output.rank; axis++) bytes *= output.shape[axis];
    for (size_t at = 0; at < bytes; at++) sum += ((const unsigned char *)output.data)[at];
  }
  hornbeam_outputs_free(outputs);
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  uint64_t size;
  if (file == NULL) return 2;
  hornbeam_set_threads(2);
  while (fread(&size, sizeof size, 1, file) == 1) {
    char *data = malloc(size + 1);
    if (data == NULL || fread(data, 1, size, file) != size) return 2;
    HornbeamModel *model;
    const HornbeamSignature *signature;
    if (!failed(hornbeam_model_from_memory(data, size, &model))) {
      const char *text = hornbeam_model_description(model);
      if (strlen(text) > 0 && !failed(hornbeam_model_signature(model, "predict", &signature))) run(signature);
      hornbeam_model_free(model);
    }
    free(data);
  }
  fclose(file);
  for (size_t code = 0; code < sizeof counts / sizeof *counts; code++) printf("%d ", counts[code]);
  printf("\n");
  return counts[HORNBEAM_ERROR_CODE_INTERNAL] > 0;
}
