"""Export trained detectors to other runtimes: ONNX and TorchScript."""
