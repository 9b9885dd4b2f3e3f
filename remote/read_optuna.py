"""Prints the studies of an Optuna database as JSON: `python3 read_optuna.py study.db`. Standard library only; the file is opened read-only.

Tables and columns: optuna/storages/_rdb/models.py, the same since Optuna 3.0.
"""

import json
import math
import pathlib
import sqlite3
import sys


def main(path: str) -> int:
    uri = pathlib.Path(path).resolve().as_uri() + "?mode=ro"
    db = sqlite3.connect(uri, uri=True)
    try:
        studies = [study(db, study_id, name) for study_id, name in db.execute("SELECT study_id, study_name FROM studies ORDER BY study_id")]
    finally:
        db.close()
    json.dump(studies, sys.stdout)
    return 0


def study(db: sqlite3.Connection, study_id: int, name: str) -> dict:
    directions = db.execute("SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective", (study_id,))
    names = db.execute(
        "SELECT value_json FROM study_system_attributes WHERE study_id = ? AND key = 'study:metric_names'", (study_id,)
    ).fetchone()
    trials = db.execute("SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number", (study_id,)).fetchall()
    values = grouped(
        db,
        "SELECT v.trial_id, CASE v.value_type WHEN 'FINITE' THEN v.value END FROM trial_values v"
        " JOIN trials t USING (trial_id) WHERE t.study_id = ? ORDER BY v.objective",
        study_id,
    )
    params = grouped(
        db,
        "SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trial_params p"
        " JOIN trials t USING (trial_id) WHERE t.study_id = ? ORDER BY p.param_id",
        study_id,
    )
    attributes = grouped(
        db,
        "SELECT a.trial_id, a.key, a.value_json FROM trial_user_attributes a"
        " JOIN trials t USING (trial_id) WHERE t.study_id = ? ORDER BY a.trial_user_attribute_id",
        study_id,
    )
    return {
        "name": name,
        "directions": [direction for (direction,) in directions],
        "metric_names": json.loads(names[0]) if names else None,
        "trials": [
            {
                "number": number,
                "state": state,
                "values": [value for (value,) in values.get(trial_id, [])],
                "params": params.get(trial_id, []),
                "user_attributes": numbers({key: json.loads(text) for key, text in attributes.get(trial_id, [])}),
            }
            for trial_id, number, state in trials
        ],
    }


def numbers(attributes: dict) -> dict:
    return {key: value for key, value in attributes.items() if type(value) in (int, float) and math.isfinite(value)}


def grouped(db: sqlite3.Connection, query: str, study_id: int) -> dict:
    """Rows by their first column."""
    found: dict = {}
    for first, *rest in db.execute(query, (study_id,)):
        found.setdefault(first, []).append(rest)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
