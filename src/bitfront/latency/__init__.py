"""Latency, measured on the candidate as it would ship: lowered to ONNX and run by a real runtime."""
