"""Does training on this machine's GPU do what it does on a CPU, and how fast? Ten minutes at most.

    python benchmarks/gpu_check.py [--data DIR ...] [--weights FILE]      (or: make gpu-check)

No network is needed. Each DIR holds `train.json`, `test.json` (COCO files with all boxes) and
`images/`; without one, scenes of handwritten digits are generated. FILE holds torchvision's weights
of the configuration's network, such as `resnet50-11ad3fa6.pth`; without it the network starts from
random weights, which learn little in so short a time. In this order:

- agreement: the losses of the first step on CPU and GPU, for `plain` and `end-to-end`: same seed,
  same batch, and every anchor and proposal sampled, so that no random draw can differ;
- throughput: images a second of training steps, without loading, with bf16, channels_last and
  torch.compile, as ratios to eager fp32, and peak memory;
- loading: the share of its time for which a training at full speed waits for images;
- methods: short trainings with every method on every data set, half of the boxes removed: AP,
  iterations, time and peak memory;
- resuming: a training in mixed precision learns, stops at Ctrl-C and resumes, mines between its
  stages, and its model mines at the end;
- step times: one step's time on the CPU, divided by that on the GPU.

Figures go to `benchmarks/results/gpu/`, as JSON and Markdown with the device's name,
written after each part: what there was no time for (`--budget`) says so. Exit code 0 when all is
well, 1 when a check fails, which is named, and 2 without a CUDA device. `--device cpu --quick` runs
through the script in little time, and compares the CPU with itself.
"""

import sys
import warnings

if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the device.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    from gpu_check.command import main

    sys.exit(main(__doc__))
