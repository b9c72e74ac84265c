"""A worked example of each kind of plugin, called `my_idea`: what `addp-bench new` writes, under the name asked for.

They are read as text. None of them is a plugin of ours, so none has an entry point.
"""
