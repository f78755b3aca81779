"""Of nested Timeouts each scope gets its own: who catches can tell which one it was."""
import gevent


def nested(outer_s, inner_s):
    outer = gevent.Timeout.start_new(outer_s)
    try:
        inner = gevent.Timeout.start_new(inner_s)
        try:
            gevent.sleep(1)
        except gevent.Timeout as caught:
            print('inner scope: inner', caught is inner, 'outer', caught is outer)
            if caught is not inner:
                raise
        finally:
            inner.close()
        gevent.sleep(0.06)
        print('never printed')
    except gevent.Timeout as caught:
        print('outer scope: inner', caught is inner, 'outer', caught is outer)
    finally:
        outer.close()


print('inner first')
nested(0.04, 0.02)
print('outer first')
nested(0.02, 0.04)
with gevent.Timeout(0.02, False):
    with gevent.Timeout(0.04, False):
        gevent.sleep(1)
    print('never printed')
print('the silent outer one ended both')
with gevent.Timeout(0.06, False):
    with gevent.Timeout(0.02, False):
        gevent.sleep(1)
    print('the silent inner one ended only itself')
