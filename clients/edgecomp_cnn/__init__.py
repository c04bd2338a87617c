"""EdgeComp for series: trains a small 1-D convolutional network, in NumPy, on one device."""
