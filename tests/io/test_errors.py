import logging

from vps_d2.io.errors import UserError, shorten_record


def stop(error):
    raise error


def test_a_log_keeps_the_sentence_of_a_user_error_alone(caplog):
    logger = logging.getLogger("vps_d2.test_errors")
    logger.addFilter(shorten_record)
    for error in (UserError("no data here; 100 % of it."), RuntimeError("a fault of ours")):
        try:
            stop(error)
        except ValueError:
            logger.exception("Exception in %s:", "training")
        except RuntimeError:
            logger.exception("Exception in training:")
    short, whole = caplog.records
    assert short.getMessage() == "Exception in training: no data here; 100 % of it."
    assert short.exc_info is None and whole.exc_info is not None
