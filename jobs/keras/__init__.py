"""What jobs share of Keras: starting TensorFlow, building models the same way in every process, and how they travel."""
