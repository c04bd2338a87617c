"""FedYogi: Yogi at the server (Reddi et al., 2021)."""
