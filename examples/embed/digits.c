/* Name the digit of an image of 28x28 pixels, or of the one that is drawn below.
 *
 * hornbeam link --example > digits.c
 * cc digits.c $(hornbeam link) -o digits
 * ./digits digits.hornbeam
 * ./digits digits.hornbeam seven.pgm
 */
#include <stdio.h>
#include <stdlib.h>

#include "hornbeam.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE };

/* End the program with the text of an error, if there is one. */
static void check(HornbeamError *error) {
  if (error != NULL) {
    fprintf(stderr, "digits: %s\n", hornbeam_error_message(error));
    hornbeam_error_free(error);
    exit(1);
  }
}

/* What a pen draws, from the row ABOVE on. */
enum { ABOVE = 7 };
static const char *const DRAWING[] = {
    "         ..........##.      ",
    "      .###############      ",
    "      ###############.      ",
    "      .##.........###.      ",
    "                 .###       ",
    "                 .##.       ",
    "                 ###        ",
    "                .##.        ",
    "                ###.        ",
    "               .###         ",
    "               .##.         ",
    "               ###          ",
    "              .##.          ",
    "              ###.          ",
    "             .###           ",
    "             .##.           ",
    "             ###            ",
    "             .#.            ",
};

static void draw(float pixels[PIXELS]) {
  for (int i = 0; i < PIXELS; i++) pixels[i] = 0;
  for (size_t row = 0; row < sizeof DRAWING / sizeof *DRAWING; row++)
    for (int column = 0; column < SIDE; column++) {
      const char ink = DRAWING[row][column];
      pixels[(ABOVE + row) * SIDE + column] = ink == '#' ? 1.0f : ink == '.' ? 0.5f : 0.0f;
    }
}

/* Read a binary PGM image; white digits on black, as in MNIST. */
static void read_image(const char *path, float pixels[PIXELS]) {
  unsigned char bytes[PIXELS];
  int width = 0, height = 0, largest = 0;
  FILE *file = fopen(path, "rb");
  if (file == NULL || fscanf(file, "P5 %d %d %d", &width, &height, &largest) != 3 || width != SIDE ||
      height != SIDE || largest != 255 || fgetc(file) == EOF || fread(bytes, 1, PIXELS, file) != PIXELS) {
    fprintf(stderr, "digits: %s is not a PGM image of 28x28 pixels\n", path);
    exit(1);
  }
  fclose(file);
  for (int i = 0; i < PIXELS; i++) pixels[i] = bytes[i] / 255.0f;
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: digits MODEL.hornbeam [IMAGE.pgm]\n");
    return 2;
  }
  HornbeamModel *model;
  const HornbeamSignature *predict;
  check(hornbeam_model_open(argv[1], &model));
  check(hornbeam_model_signature(model, "predict", &predict));

  float pixels[PIXELS];
  if (argc == 3)
    read_image(argv[2], pixels);
  else
    draw(pixels);
  const size_t shape[] = {1, SIDE, SIDE, 1};
  const HornbeamTensor image = {HORNBEAM_DTYPE_FLOAT32, 4, shape, pixels};
  HornbeamOutputs *outputs;
  check(hornbeam_run(predict, &image, 1, &outputs));

  HornbeamTensor scores;
  check(hornbeam_outputs_get(outputs, 0, &scores));
  const float *probability = scores.data;
  size_t best = 0;
  for (size_t i = 1; i < scores.shape[1]; i++)
    if (probability[i] > probability[best]) best = i;
  printf("%zu (%.2f%%)\n", best, 100 * probability[best]);

  hornbeam_outputs_free(outputs);
  hornbeam_model_free(model);
  return 0;
}
