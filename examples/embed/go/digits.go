// Name the digit of an image.
//
//	CGO_CFLAGS=$(hornbeam link --cflags) CGO_LDFLAGS=$(hornbeam link --libs) go build
//	./digits digits.hornbeam seven.pgm
package main

// #include <stdlib.h>
// #include "hornbeam.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"
)

const side = 28

// check turns an error of the library into one of Go.
func check(err *C.HornbeamError) error {
	if err == nil {
		return nil
	}
	defer C.hornbeam_error_free(err)
	return errors.New(C.GoString(C.hornbeam_error_message(err)))
}

// readImage reads a binary PGM image of 28x28 pixels; white digits on black, as in MNIST.
func readImage(path string) ([]float32, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	header := []byte("P5 28 28 255\n")
	if !bytes.HasPrefix(data, header) || len(data) != len(header)+side*side {
		return nil, fmt.Errorf("%s is not a PGM image of 28x28 pixels", path)
	}
	pixels := make([]float32, side*side)
	for i, value := range data[len(header):] {
		pixels[i] = float32(value) / 255
	}
	return pixels, nil
}

// predict returns the probabilities of the classes.
func predict(path string, pixels []float32) ([]float32, error) {
	name, signatureName := C.CString(path), C.CString("predict")
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(signatureName))
	var model *C.HornbeamModel
	if err := check(C.hornbeam_model_open(name, &model)); err != nil {
		return nil, err
	}
	defer C.hornbeam_model_free(model)
	var signature *C.HornbeamSignature
	if err := check(C.hornbeam_model_signature(model, signatureName, &signature)); err != nil {
		return nil, err
	}
	// C may not keep pointers into Go's memory: the tensor and what it points to are C's.
	image := (*C.HornbeamTensor)(C.calloc(1, C.sizeof_HornbeamTensor))
	shape := (*[4]C.size_t)(C.calloc(4, C.sizeof_size_t))
	data := (*[side * side]float32)(C.calloc(side*side, 4))
	defer C.free(unsafe.Pointer(image))
	defer C.free(unsafe.Pointer(shape))
	defer C.free(unsafe.Pointer(data))
	*shape = [4]C.size_t{1, side, side, 1}
	copy(data[:], pixels)
	*image = C.HornbeamTensor{C.HORNBEAM_DTYPE_FLOAT32, 4, &shape[0], unsafe.Pointer(data)}
	var outputs *C.HornbeamOutputs
	if err := check(C.hornbeam_run(signature, image, 1, &outputs)); err != nil {
		return nil, err
	}
	defer C.hornbeam_outputs_free(outputs)
	var scores C.HornbeamTensor
	if err := check(C.hornbeam_outputs_get(outputs, 0, &scores)); err != nil {
		return nil, err
	}
	classes := *(*C.size_t)(unsafe.Pointer(uintptr(unsafe.Pointer(scores.shape)) + C.sizeof_size_t))
	return append([]float32{}, unsafe.Slice((*float32)(scores.data), int(classes))...), nil
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: digits MODEL.hornbeam IMAGE.pgm")
	}
	pixels, err := readImage(os.Args[2])
	if err != nil {
		return err
	}
	scores, err := predict(os.Args[1], pixels)
	if err != nil {
		return err
	}
	best := 0
	for i, score := range scores {
		if score > scores[best] {
			best = i
		}
	}
	fmt.Printf("%d (%.2f%%)\n", best, 100*scores[best])
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "digits:", err)
		os.Exit(1)
	}
}
