"""Differentially private FedAvg: each device's update clipped, noise on the average."""
