"""Character-level sequence to sequence: an encoder's states start a decoder, which then writes by itself."""

import keras
import numpy as np

LETTERS = "abcdefgh"
TOKENS = "\t\n" + LETTERS
LENGTH = 5


def make_words(count, seed=0):
    """Pairs of a word and its letters in alphabetical order."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list(LETTERS), LENGTH)) for _ in range(count)]
    return words, ["\t" + "".join(sorted(word)) + "\n" for word in words]


def one_hot(texts, length):
    made = np.zeros((len(texts), length, len(TOKENS)), "float32")
    for row, text in enumerate(texts):
        for place, letter in enumerate(text):
            made[row, place, TOKENS.index(letter)] = 1.0
    return made


def main():
    keras.utils.set_random_seed(0)
    inputs, targets = make_words(600)
    encoder_input_data = one_hot(inputs, LENGTH)
    decoder_input_data = one_hot(targets, LENGTH + 2)
    decoder_target_data = one_hot([text[1:] for text in targets], LENGTH + 2)

    units = 48
    encoder_inputs = keras.Input(shape=(None, len(TOKENS)))
    encoder = keras.layers.LSTM(units, return_state=True)
    _, state_h, state_c = encoder(encoder_inputs)
    encoder_states = [state_h, state_c]
    decoder_inputs = keras.Input(shape=(None, len(TOKENS)))
    decoder_lstm = keras.layers.LSTM(units, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
    decoder_dense = keras.layers.Dense(len(TOKENS), activation="softmax")
    decoder_outputs = decoder_dense(decoder_outputs)
    model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(
        [encoder_input_data, decoder_input_data], decoder_target_data, batch_size=32, epochs=8, verbose=2
    )

    encoder_model = keras.Model(encoder_inputs, encoder_states)
    decoder_state_input_h = keras.Input(shape=(units,))
    decoder_state_input_c = keras.Input(shape=(units,))
    decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
    outputs, state_h, state_c = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
    decoder_model = keras.Model(
        [decoder_inputs, *decoder_states_inputs], [decoder_dense(outputs), state_h, state_c]
    )

    def decode(sequence):
        states = encoder_model.predict(sequence, verbose=0)
        text = "\t"
        while text[-1] != "\n" and len(text) < LENGTH + 2:
            letter = one_hot([text[-1]], 1)
            probabilities, h, c = decoder_model.predict([letter, *states], verbose=0)
            text += TOKENS[np.argmax(probabilities[0, -1])]
            states = [h, c]
        return text.strip()

    for row in range(3):
        print(inputs[row], "->", decode(encoder_input_data[row : row + 1]))
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
