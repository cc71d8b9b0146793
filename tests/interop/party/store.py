"""What must survive a restart: written whole under another name, then put in its place."""

import json
import os
from pathlib import Path


class Store:
    def __init__(self, folder):
        self.file = Path(folder) / "state.json"
        self.facts = json.loads(self.file.read_text()) if self.file.exists() else {}

    def put(self, **facts):
        self.facts |= facts
        new = self.file.with_suffix(".new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump(self.facts, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    @property
    def head(self):
        size, root = self.facts["head"]
        return {"size": size, "root": bytes.fromhex(root)}

    @property
    def acted(self):
        """Round and hash of the last manifest acted on."""
        number, mh = self.facts.get("acted", (0, ""))
        return number, bytes.fromhex(mh)

    @property
    def attempt(self):
        return tuple(self.facts.get("attempt", (0, -1)))

    def accepted(self, round_, mh, head):
        """[ROST-1]: durable before anything of the round is acted on."""
        self.put(acted=[round_, mh.hex()], head=[head["size"], head["root"].hex()])
