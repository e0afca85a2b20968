"""What waits for a terminal that takes nothing is kept short, and nothing of it is lost."""

from live.told import BACKUP, FIREFOX, LAN, Told, use

from netusage.live.history import Both
from netusage.live.news import Recorded, in_short
from netusage.live.state import State


class Noted(Told):
    """Remembers what it tells."""

    def __init__(self, *names):
        super().__init__(*names)
        self.news = []
        take = self.state.take
        self.state.take = lambda news: (self.news.append(news), take(news))


def test_the_end_is_the_same_whether_all_is_taken_or_what_it_comes_to():
    told = Noted("eth0", "lo")
    told.recorded()
    for second in range(1, 50):
        told.present(eth0=(1000 * second, second), lo=(5, 5))
        if second % 10 == 0:
            told.spent(10, (use(FIREFOX), 3000, 1), (use(BACKUP, scope=LAN), second, 2))
            told.recorded(until=second, total=Both(9000, 9), applications={use(FIREFOX): Both(3000, 1)})
    short = in_short(told.news)
    assert len(short) == 3
    state = State()
    for news in short:
        state.take(news)
    assert state.interface_rows()[0].since == told.state.interface_rows()[0].since
    assert [row[2:5] for row in state.application_rows()] == [
        row[2:5] for row in told.state.application_rows()
    ]
    assert (state.history.seconds, state.spent_history.seconds) == (49, 40)


def test_what_is_short_stays_as_it_is():
    news = [Recorded(1), Recorded(2)]
    assert in_short(news) == [Recorded(2)]
    assert in_short(in_short(news)) == [Recorded(2)]
