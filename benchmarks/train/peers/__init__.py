"""What is measured of the train job: ours, plain Keras, TensorFlow's strategies, and Ray Train in its environment."""
