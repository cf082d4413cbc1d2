"""The same work written for each framework; every module here is run by the interpreter of its own framework."""
