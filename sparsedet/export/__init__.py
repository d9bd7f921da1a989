"""Trained detectors as files of other runtimes: ONNX and TorchScript."""
