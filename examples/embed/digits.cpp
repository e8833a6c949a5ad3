// Name the digits of several images, in one thread each: ./digits digits.hornbeam seven.pgm two.pgm ...
//
// c++ -std=c++17 digits.cpp $(hornbeam link) -pthread -o digits

#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hornbeam.h"

constexpr std::size_t side = 28;
using Image = std::array<float, side * side>;

// Throw the error that a function returned, if any.
void check(HornbeamError *error) {
  if (error != nullptr) {
    std::string text = hornbeam_error_message(error);
    hornbeam_error_free(error);
    throw std::runtime_error(text);
  }
}

// A model that frees itself.
class Model {
 public:
  explicit Model(const std::string &path) {
    HornbeamModel *model;
    check(hornbeam_model_open(path.c_str(), &model));
    model_.reset(model);
    check(hornbeam_model_signature(model, "predict", &predict_));
  }

  // The probabilities of the classes.
  std::vector<float> predict(const Image &pixels) const {
    const std::size_t shape[] = {1, side, side, 1};
    const HornbeamTensor image = {HORNBEAM_DTYPE_FLOAT32, 4, shape, pixels.data()};
    HornbeamOutputs *raw;
    check(hornbeam_run(predict_, &image, 1, &raw));
    std::unique_ptr<HornbeamOutputs, decltype(&hornbeam_outputs_free)> outputs(raw, hornbeam_outputs_free);
    HornbeamTensor scores;
    check(hornbeam_outputs_get(outputs.get(), 0, &scores));
    auto first = static_cast<const float *>(scores.data);
    return {first, first + scores.shape[1]};
  }

 private:
  std::unique_ptr<HornbeamModel, decltype(&hornbeam_model_free)> model_{nullptr, hornbeam_model_free};
  const HornbeamSignature *predict_ = nullptr;
};

// Read a binary PGM image of 28x28 pixels; white digits on black, as in MNIST.
Image read_image(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  std::size_t width = 0, height = 0, largest = 0;
  std::array<char, side * side> bytes;
  file >> kind >> width >> height >> largest;
  file.get();
  if (kind != "P5" || width != side || height != side || largest != 255 || !file.read(bytes.data(), bytes.size()))
    throw std::runtime_error(path + " is not a PGM image of 28x28 pixels");
  Image image;
  std::transform(bytes.begin(), bytes.end(), image.begin(),
                 [](char byte) { return static_cast<unsigned char>(byte) / 255.0f; });
  return image;
}

int main(int argc, char **argv) try {
  if (argc < 3) {
    std::cerr << "usage: digits MODEL.hornbeam IMAGE.pgm...\n";
    return 2;
  }
  const Model model(argv[1]);
  std::vector<std::string> answers(argc - 2);
  std::vector<std::thread> threads;
  for (int i = 2; i < argc; i++) {
    threads.emplace_back([&model, image = read_image(argv[i]), &answer = answers[i - 2]] {
      const std::vector<float> scores = model.predict(image);
      answer = std::to_string(std::max_element(scores.begin(), scores.end()) - scores.begin());
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const std::string &answer : answers) std::cout << answer << "\n";
} catch (const std::exception &error) {
  std::cerr << "digits: " << error.what() << "\n";
  return 1;
}
