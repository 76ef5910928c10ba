"""What programs print before they import anything; written by `make docs`."""

VERSIONS = {
    "bpu": """\
bpu 0.1.0
""",
    "bpud": """\
bpud 0.1.0
""",
    "hb_mapper": """\
hb_mapper (OpenBPU) 0.1.0
""",
}

SCREENS = {
    "bpu": """\
Usage: bpu [OPTIONS] COMMAND [ARGS]...

  Deploy models to a board, run and measure them there.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  boards      Set up, list, examine and remove boards.
  completion  Let a shell complete these commands.
  deploy      Send a model file to a board.
  jobs        List or cancel measurements of the daemon.
  models      List a board's models, or describe one.
  perf        Measure a model on a board.
  remove      Delete a model from a board.
  run         Run a model on pictures or arrays.
  top         Watch a board: models, cores, preemptions, live.

  Examples:
    bpu boards add desk root@192.168.1.10
    bpu deploy model_output/net.bin --board desk
    bpu run net photo.jpg --board 127.0.0.1:50551 --output results
    bpu perf net --board 127.0.0.1:50551 --threads 4
    bpu top --demo
""",
    "bpud": """\
Usage: bpud [OPTIONS] COMMAND [ARGS]...

  Keep boards connected, measurements in turn and telemetry at hand.

  One daemon per user. `bpu` uses it while it runs and works the same without
  it. A daemon that was killed is started again by the next `bpu` or `bpud`
  call; one that was stopped is not.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  run     Be the daemon, in the foreground, until SIGTERM or SIGINT.
  start   Start the daemon in the background, if it does not run.
  status  Show boards, jobs and memory of the daemon.
  stop    End the daemon; measurements that wait or run are cancelled.

  Examples:
    bpud start
    bpud status --json
    bpud stop
""",
    "hb_mapper": """\
Usage: hb_mapper [OPTIONS] COMMAND [ARGS]...

  Convert float models into programs for the X3/J3 BPU.

  Examples:
    hb_mapper checker --model-type onnx --model net.onnx
    hb_mapper init net.onnx
    hb_mapper caldata --input photos/ --output cal_data_f32 --size 224x224
    hb_mapper makertbin --model-type onnx --config net.yaml

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  caldata    Make calibration samples (cal_data_dir) from a folder of...
  checker    Tell which nodes of a model run on the BPU, and why the others...
  init       Write a configuration (YAML) for MODEL to start from.
  makertbin  Convert a float model into a `.bin` for the board.
""",
}
