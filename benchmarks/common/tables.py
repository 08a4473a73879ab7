"""Markdown tables and the numbers in them."""

__all__ = ["format_number", "format_percent", "print_table"]


def print_table(header, rows):
    """Print a markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def format_percent(share):
    """Format a share in percent; None gives an empty cell."""
    return "" if share is None else f"{100 * share:.0f} %"


def format_number(value, digits=3):
    """Format a number with about three significant digits, without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(f"{abs(value):e}".split("e")[1]))
    return f"{value:,.{decimals}f}"
