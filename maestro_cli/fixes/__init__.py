"""Safe remedies that checks offer to `maestro fix`: each says what it would do, does no more than that, and how to undo it.

None of them deletes, overwrites or weakens anything that exists.
"""
