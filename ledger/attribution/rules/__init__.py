"""The rules by which statements cannot both be in order: a module for each thing they are about, a function for each rule."""
