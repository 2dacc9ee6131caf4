"""The time zones in which a number may be: for what a rule does by the recipient's own clock.

Never says where a handset really is: a mobile number of a large country may be in any of its zones. The truth is phonenumbers'
metadata, loaded only when first asked for.
"""

from functools import lru_cache


@lru_cache(4096)
def find_zones(e164: str) -> tuple[str, ...]:
    """IANA names of the zones that numbers like this one are in, several for large countries, UTC where nothing is known."""
    import phonenumbers
    from phonenumbers import timezone

    try:
        zones = timezone.time_zones_for_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return ("UTC",)
    known = tuple(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE)
    return known or ("UTC",)
