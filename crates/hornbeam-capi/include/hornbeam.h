/* The C interface of Hornbeam: run models that were exported with format="hornbeam".
 *
 * Functions that can fail return NULL, or an error that the caller frees. All functions may be called from several
 * threads at once; a model, its signatures and their specs live until the model is freed.
 *
 * This file is written by cbindgen from crates/hornbeam-capi. */

#ifndef HORNBEAM_H
#define HORNBEAM_H

#include <stddef.h>
#include <stdint.h>

/**
 * Kinds of errors.
 */
typedef enum HornbeamErrorCode {
  /**
   * The file cannot be read.
   */
  HORNBEAM_ERROR_CODE_IO = 1,
  /**
   * The file is not a frozen model, is damaged, or was written by a newer version.
   */
  HORNBEAM_ERROR_CODE_FILE = 2,
  /**
   * An argument does not fit: an unknown signature, another number of inputs, a shape, a null pointer.
   */
  HORNBEAM_ERROR_CODE_ARGUMENT = 3,
  /**
   * The engine cannot run the graph, or memory is exhausted.
   */
  HORNBEAM_ERROR_CODE_ENGINE = 4,
  /**
   * A fault of this library.
   */
  HORNBEAM_ERROR_CODE_INTERNAL = 5,
} HornbeamErrorCode;

/**
 * Type of the elements of a tensor. Booleans are bytes of 0 or 1.
 */
typedef enum HornbeamDtype {
  HORNBEAM_DTYPE_BOOL = 0,
  HORNBEAM_DTYPE_UINT8 = 1,
  HORNBEAM_DTYPE_INT8 = 2,
  HORNBEAM_DTYPE_UINT16 = 3,
  HORNBEAM_DTYPE_INT16 = 4,
  HORNBEAM_DTYPE_UINT32 = 5,
  HORNBEAM_DTYPE_INT32 = 6,
  HORNBEAM_DTYPE_UINT64 = 7,
  HORNBEAM_DTYPE_INT64 = 8,
  HORNBEAM_DTYPE_FLOAT16 = 9,
  HORNBEAM_DTYPE_BFLOAT16 = 10,
  HORNBEAM_DTYPE_FLOAT32 = 11,
  HORNBEAM_DTYPE_FLOAT64 = 12,
} HornbeamDtype;

/**
 * An error: a code and a text.
 */
typedef struct HornbeamError HornbeamError;

/**
 * A model that was read.
 */
typedef struct HornbeamModel HornbeamModel;

/**
 * The outputs of a run.
 */
typedef struct HornbeamOutputs HornbeamOutputs;

/**
 * A function of a model.
 */
typedef struct HornbeamSignature HornbeamSignature;

/**
 * Name and type of an input or output.
 */
typedef struct HornbeamSpec {
  /**
   * The name, in UTF-8.
   */
  const char *name;
  /**
   * A `HornbeamDtype`.
   */
  uint32_t dtype;
  /**
   * Number of axes.
   */
  size_t rank;
  /**
   * Size of each axis; -1 for those that depend on the inputs, such as the batch size.
   */
  const int64_t *shape;
} HornbeamSpec;

/**
 * A tensor in row-major order. The memory of inputs belongs to you, that of outputs to `HornbeamOutputs`.
 */
typedef struct HornbeamTensor {
  /**
   * A `HornbeamDtype`.
   */
  uint32_t dtype;
  /**
   * Number of axes.
   */
  size_t rank;
  /**
   * Size of each axis.
   */
  const size_t *shape;
  /**
   * The elements, which need not be aligned.
   */
  const void *data;
} HornbeamTensor;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, such as "0.1.0".
 */
const char *hornbeam_version(void);

/**
 * Set the number of threads on which the runs of this process share the work, at least 1; by default all CPUs. Results
 * do not depend on it.
 */
void hornbeam_set_threads(size_t threads);

/**
 * The kind of an error.
 *
 * `error` came from this library and was not freed.
 */
enum HornbeamErrorCode hornbeam_error_code(const struct HornbeamError *error);

/**
 * The text of an error, in UTF-8. It lives until the error is freed.
 *
 * `error` came from this library and was not freed.
 */
const char *hornbeam_error_message(const struct HornbeamError *error);

/**
 * Free an error. NULL is ignored.
 *
 * `error` came from this library and was not freed.
 */
void hornbeam_error_free(struct HornbeamError *error);

/**
 * Read the file at `path` (UTF-8) and set `*model`. The file is mapped into memory: do not write into it while the model
 * lives.
 *
 * `path` is a text, and `model` points to a pointer.
 */
struct HornbeamError *hornbeam_model_open(const char *path,
                                          struct HornbeamModel **model);

/**
 * Read the contents of a file, which are copied, and set `*model`.
 *
 * `data` points to `size` bytes, and `model` to a pointer.
 */
struct HornbeamError *hornbeam_model_from_memory(const void *data,
                                                 size_t size,
                                                 struct HornbeamModel **model);

/**
 * Free a model that no thread uses any more. Outputs of its runs stay valid. NULL is ignored.
 *
 * `model` came from this library and was not freed.
 */
void hornbeam_model_free(struct HornbeamModel *model);

/**
 * Signatures and metadata of a model as JSON: names of inputs and outputs, labels of classes, preprocessing.
 *
 * `model` came from this library and was not freed.
 */
const char *hornbeam_model_description(const struct HornbeamModel *model);

/**
 * Find a function of the model, such as "predict", and set `*signature`.
 *
 * `model` came from this library, `name` is a text, and `signature` points to a pointer.
 */
struct HornbeamError *hornbeam_model_signature(const struct HornbeamModel *model,
                                               const char *name,
                                               const struct HornbeamSignature **signature);

/**
 * The number of inputs.
 *
 * `signature` came from a model that lives.
 */
size_t hornbeam_signature_input_count(const struct HornbeamSignature *signature);

/**
 * The number of outputs.
 *
 * `signature` came from a model that lives.
 */
size_t hornbeam_signature_output_count(const struct HornbeamSignature *signature);

/**
 * Set `*spec` to name and type of an input.
 *
 * `signature` came from a model that lives, and `spec` points to a `HornbeamSpec`.
 */
struct HornbeamError *hornbeam_signature_input(const struct HornbeamSignature *signature,
                                               size_t index,
                                               struct HornbeamSpec *spec);

/**
 * Set `*spec` to name and type of an output.
 *
 * `signature` came from a model that lives, and `spec` points to a `HornbeamSpec`.
 */
struct HornbeamError *hornbeam_signature_output(const struct HornbeamSignature *signature,
                                                size_t index,
                                                struct HornbeamSpec *spec);

/**
 * Run a signature on `count` inputs, in its order, and set `*outputs`. Several threads may run it at once. The first run
 * on inputs of new sizes compiles the graph for them, in milliseconds.
 *
 * `signature` came from a model that lives, `inputs` points to `count` tensors, and `outputs` to a pointer.
 */
struct HornbeamError *hornbeam_run(const struct HornbeamSignature *signature,
                                   const struct HornbeamTensor *inputs,
                                   size_t count,
                                   struct HornbeamOutputs **outputs);

/**
 * The number of outputs.
 *
 * `outputs` came from this library and was not freed.
 */
size_t hornbeam_outputs_count(const struct HornbeamOutputs *outputs);

/**
 * Set `*tensor` to an output, whose memory lives until `outputs` is freed.
 *
 * `outputs` came from this library and was not freed, and `tensor` points to a `HornbeamTensor`.
 */
struct HornbeamError *hornbeam_outputs_get(const struct HornbeamOutputs *outputs,
                                           size_t index,
                                           struct HornbeamTensor *tensor);

/**
 * Free outputs. NULL is ignored.
 *
 * `outputs` came from this library and was not freed.
 */
void hornbeam_outputs_free(struct HornbeamOutputs *outputs);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HORNBEAM_H */
