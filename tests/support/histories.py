"""Generated histories of use, hour by hour, of the kinds that households and offices have; the same for the same seed."""

import random

DAY_S = 86_400
SHAPES = ("office", "evenings", "weekends", "trend", "noise", "holidays", "downloads")
_GB = 10**9


def history(shape, seed, days):
    """Bytes of each hour of so many days, the first of which is a Monday."""
    dice = random.Random(f"{shape} {seed}")
    away = _holidays(dice, days) if shape == "holidays" else set()
    found = []
    for day in range(days):
        of_day = _around_one(dice, 0.9 if shape == "noise" else 0.4)
        for hour in range(24):
            level = 0.02 if day in away else _level(shape, day, hour)
            if shape == "downloads" and dice.random() < 0.004:
                level += 12
            found.append(round(level * of_day * _around_one(dice, 0.6) * _GB))
    return found


def _level(shape, day, hour):
    """What an hour has in the mean, in GB."""
    at_weekend = day % 7 >= 5
    if shape in ("office", "holidays"):
        return 1 if not at_weekend and 8 <= hour < 18 else 0.02
    if shape == "evenings":
        return (1.5 if at_weekend else 1) if hour >= 18 else 0.02
    if shape == "weekends":
        return 1.2 if at_weekend and hour >= 10 else 0.2 if 19 <= hour < 22 else 0.02
    if shape == "trend":
        return ((1.4 if at_weekend else 1) if hour >= 18 else 0.02) * 1.04 ** (day / 7)
    if shape == "downloads":
        return 0.5 if 17 <= hour < 23 else 0.02
    return 0.5


def _holidays(dice, days):
    found = set()
    for _ in range(days // 50):
        first = dice.randrange(days)
        found |= set(range(first, first + dice.randrange(4, 10)))
    return found


def _around_one(dice, sigma):
    """A factor that is 1 in the mean, and never negative."""
    return dice.lognormvariate(-sigma * sigma / 2, sigma)
