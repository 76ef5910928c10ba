"""The board side: runtime, agent, profiler and hrt_model_exec."""
