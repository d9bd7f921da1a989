"""Compare training on this machine's GPU with the CPU, and measure its speed, in ten minutes.

    python benchmarks/gpu_check.py [--data DIR ...] [--weights FILE]      (or: make gpu-check)

Needs no network. Each DIR holds `train.json`, `test.json` (COCO files with all boxes) and
`images/`; without any, scenes of handwritten digits are generated. FILE holds torchvision weights
of the configuration's network, such as `resnet50-11ad3fa6.pth`; without it, the network starts from
random weights and learns little in this time. The parts, in order:

- agreement: losses of the first step on CPU and GPU, for `plain` and `end-to-end`: same seed and
  batch, all anchors and proposals sampled, so that no random draw differs;
- throughput: images per second of training steps without loading, with bf16, channels_last and
  torch.compile, as ratios to eager fp32, and peak memory;
- loading: share of the time that a training at full speed waits for images;
- methods: short trainings with every method on every dataset, half of the boxes removed: AP,
  iterations, time and peak memory;
- resuming: a training in mixed precision learns, stops on Ctrl-C, resumes, and mines between its
  stages; its model mines at the end;
- step times: time of a step on the CPU, divided by that on the GPU.

Results are written to `benchmarks/results/gpu/` after each part, as JSON and Markdown with the
device's name; parts beyond `--budget` are marked as not run. Exit code 0: all checks passed; 1: a
check failed; 2: no CUDA device. `--device cpu --quick` tries the script quickly, and compares the
CPU with itself.
"""

import sys
import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the device.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from gpu_check.command import main

    sys.exit(main(__doc__))
