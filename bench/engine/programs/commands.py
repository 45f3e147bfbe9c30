import sys


def serve(commands):
    """Says that it can be sampled, then does what it is told, a line a command, and says the answer."""
    print("\nBENCH ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        name, *arguments = line.rstrip("\n").split("\t")
        if name == "end":
            break
        # What Spark's progress bar has left stands on the line before.
        print("\nBENCH %s" % commands[name](*arguments), flush=True)
