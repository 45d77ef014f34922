"""The APIs of model servers that this one speaks, a module each: a request's plain values in, a response out."""
