"""What programs print before they import anything; written by `make docs`."""

VERSIONS = {
    "bpu-agent": """\
bpu-agent 0.1.0
""",
    "hrt_model_exec": """\
hrt_model_exec (OpenBPU) 0.1.0
""",
}

SCREENS = {
    "bpu-agent": """\
usage: bpu-agent [-h] --listen ADDRESS --store DIR [--machine {j3,x3e,x3m}]
                 [--clock {virtual,paced}] [--threads N] [--verbose]
                 [--version]

Serve a board to the host's tools: models, inference, perf, telemetry.

options:
  -h, --help            show this help message and exit
  --listen ADDRESS      unix:PATH or HOST:PORT
  --store DIR           folder of the models
  --machine {j3,x3e,x3m}
                        chip to simulate (default x3m)
  --clock {virtual,paced}
                        paced: device time follows the wall clock, as on a
                        chip; virtual: it runs as fast as it can be computed
                        and stands still between tasks (default paced)
  --threads N           CPU threads for the numbers (0: all)
  --verbose             log more
  --version             show program's version number and exit

examples:
  bpu-agent --listen unix:/run/bpu/agent.sock --store /var/lib/bpu
  bpu-agent --listen 127.0.0.1:50551 --store ~/models --machine j3

Only unix sockets (mode 0600) and loopback addresses are served. SIGTERM stops
the agent after the calls in flight. The chip is simulated, on a board as well.
""",
    "hrt_model_exec": """\
Usage:
hrt_model_exec [Option] [Parameter]

[Option]                    [Parameter]
--------------------------------------------------------------------------------
model_info                  Print inputs, outputs and properties of models.
infer                       Run a model on given inputs, print a frame's time.
perf                        Measure latency and frame rate of a model.
--------------------------------------------------------------------------------
--help                                Print this screen (also -h).

--version                             Print the version (also -v).

--model_file                [string]  Model file paths, separated by comma.
                                      Required. (model_info, infer, perf)

--model_name                [string]  Model to use; needed when several are
                                      loaded. (model_info, infer, perf)

--core_id                   [int]     0 for any core, 1 for core 0, 2 for core
                                      1. (infer, perf)

--input_file                [string]  Input files, separated by comma, one per
                                      input: jpg, jpeg, png, bmp, webp, npy or
                                      bin for image inputs, npy, bin or txt for
                                      featuremap inputs. perf uses random
                                      tensors without it. (infer, perf)

--roi_infer                 [bool]    Resizer inputs; not supported yet. (infer,
                                      perf)

--roi                       [string]  Regions for resizer inputs; not supported
                                      yet. (infer, perf)

--frame_count               [int]     Frames to run: infer 1, perf 200 by
                                      default. (infer, perf)

--dump_intermediate         [int]     Dump what goes in and out of every
                                      segment. 0: off, 1: bin, 2: bin and txt,
                                      3: bin and txt, BPU outputs without
                                      padding. (infer, perf)

--enable_dump               [bool]    Dump the model's inputs and outputs.
                                      (infer)

--dump_precision            [int]     Decimals of float numbers in txt dumps, 9.
                                      (infer)

--hybrid_dequantize_process [bool]    With enable_dump: outputs as float txt
                                      without padding; 4-D outputs only. (infer)

--dump_format               [string]  bin or txt. (infer)

--dump_txt_axis             [int]     Axes from this one on share a line of a
                                      txt dump; 4 writes one value per line.
                                      (infer)

--enable_cls_post_process   [bool]    Print the classification result. (infer)

--perf_time                 [int]     Minutes to run; above 0 it overrides
                                      frame_count. (perf)

--thread_num                [int]     Threads in [1,8]; values above 8 act as 8.
                                      (perf)

--profile_path              [string]  Folder for profiler.log and profiler.csv.
                                      (perf)

--priority                  [int]     Priority of the frames; 255 preempts.
                                      (infer, perf)

--machine                   [string]  Chip to simulate: x3m, j3 or x3e; the one
                                      of the model by default. (infer, perf)

--exact                     [bool]    Run the instructions too and compare all
                                      values. (infer, perf)

--json                      [bool]    Print the result as one JSON object.
                                      (model_info, infer, perf)

--------------------------------------------------------------------------------

[Examples]
--------------------------------------------------------------------------------
hrt_model_exec model_info | hrt_model_exec infer     | hrt_model_exec perf
  --model_file=model.bin  |   --model_file=model.bin |   --model_file=model.bin
  --model_name=""         |   --model_name=""        |   --model_name=""
                          |   --core_id=0            |   --core_id=0
                          |   --input_file=photo.jpg |   --frame_count=200
                          |   --frame_count=1        |   --perf_time=0
                          |   --enable_dump=true     |   --thread_num=8
                          |   --dump_format=txt      |   --profile_path="."
--------------------------------------------------------------------------------
""",
}
