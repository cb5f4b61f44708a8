"""The careful agent, with nothing but Python's standard library."""

import sys

from agent import Agent, main
from plain import Plain

if __name__ == "__main__":
    main(Agent(Plain()), *sys.argv[1:2])
