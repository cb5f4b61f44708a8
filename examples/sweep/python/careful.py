"""The careful agent, with the official SDK."""

import sys

from agent import Agent, main
from sdk import Sdk

if __name__ == "__main__":
    main(Agent(Sdk()), *sys.argv[1:2])
