"""Policy gradients: an actor and a critic learn to balance a pole, one gradient tape for an episode."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Pole:
    """A pole on a cart: position, speed, angle and turning speed, until the pole falls."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.state = self.rng.uniform(-0.05, 0.05, 4)
        return self.state

    def step(self, action):
        x, v, angle, turning = self.state
        force = 10.0 if action == 1 else -10.0
        sin, cos = np.sin(angle), np.cos(angle)
        push = (force + 0.05 * turning**2 * sin) / 1.1
        turn = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        accelerate = push - 0.05 * turn * cos / 1.1
        self.state = np.array(
            [x + 0.02 * v, v + 0.02 * accelerate, angle + 0.02 * turning, turning + 0.02 * turn]
        )
        done = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.21
        return self.state, 1.0, done


def main(episodes=20, max_steps=60):
    keras.utils.set_random_seed(42)
    gamma, eps = 0.99, np.finfo(np.float32).eps.item()
    env = Pole(42)
    inputs = layers.Input(shape=(4,))
    common = layers.Dense(32, activation="relu")(inputs)
    action = layers.Dense(2, activation="softmax")(common)
    critic = layers.Dense(1)(common)
    model = keras.Model(inputs=inputs, outputs=[action, critic])
    optimizer = keras.optimizers.Adam(learning_rate=0.01)
    huber_loss = keras.losses.Huber()
    losses, rewards = [], []
    for _ in range(episodes):
        action_probs_history, critic_value_history, rewards_history = [], [], []
        state = env.reset()
        with tf.GradientTape() as tape:
            for _ in range(max_steps):
                state = tf.convert_to_tensor(state)
                state = tf.expand_dims(state, 0)
                action_probs, critic_value = model(state)
                critic_value_history.append(critic_value[0, 0])
                chosen = np.random.choice(2, p=np.squeeze(action_probs) / np.sum(action_probs))
                action_probs_history.append(tf.math.log(action_probs[0, chosen]))
                state, reward, done = env.step(chosen)
                rewards_history.append(reward)
                if done:
                    break
            returns, discounted_sum = [], 0.0
            for reward in rewards_history[::-1]:
                discounted_sum = reward + gamma * discounted_sum
                returns.insert(0, discounted_sum)
            returns = np.array(returns)
            returns = ((returns - np.mean(returns)) / (np.std(returns) + eps)).tolist()
            actor_losses, critic_losses = [], []
            for log_prob, value, ret in zip(action_probs_history, critic_value_history, returns):
                actor_losses.append(-log_prob * (ret - value))
                critic_losses.append(huber_loss(tf.expand_dims(value, 0), tf.expand_dims(ret, 0)))
            loss_value = sum(actor_losses) + sum(critic_losses)
        grads = tape.gradient(loss_value, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        losses.append(float(loss_value))
        rewards.append(float(sum(rewards_history)))
    print("steps in the last episodes", rewards[-5:])
    return {"reward": [float(np.mean(rewards[:5])), float(np.mean(rewards))], "first_loss": losses[0]}


if __name__ == "__main__":
    main()
