"""EdgeComp in TensorFlow/Keras: trains a small network on the rows of one device."""
