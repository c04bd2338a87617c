"""The recorder, signed requests and notices. The server half needs the extra `service`."""
