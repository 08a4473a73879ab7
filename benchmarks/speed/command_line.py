"""Command-line options that the speed benchmarks share."""

from benchmarks.common.command_line import make_parser

__all__ = ["make_speed_parser", "parse_speed_args"]


def make_speed_parser(name, description, *, rounds):
    """Return an argument parser of a speed benchmark.

    Parameters
    ----------
    name : str
        Name of the benchmark, without "speed.".
    description : str
        Docstring of the module.
    rounds : int
        Default number of rounds.
    """
    parser = make_parser(f"speed.{name}", description)
    parser.set_defaults(default_rounds=rounds)
    parser.add_argument("--rounds", type=int, help=f"default: {rounds}")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rounds in the file"
    )
    parser.add_argument(
        "--quick", action="store_true", help="trial run with small sizes"
    )
    return parser


def parse_speed_args(parser, argv):
    """Parse the command line; trial runs have two rounds by default."""
    args = parser.parse_args(argv)
    if args.rounds is None:
        args.rounds = 2 if args.quick else args.default_rounds
    return args
