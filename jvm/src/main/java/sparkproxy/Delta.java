package sparkproxy;

import java.nio.ByteBuffer;
import java.util.*;

/**
 * Tasks of a stage differ in some numbers only. One of them is the base of the others, each of which is then n × (bytes to
 * take over from the base, bytes of it to leave out, bytes of its own): copying where both agree, as VCDIFF (RFC 3284) does.
 */
final class Delta {
  /** Bases in use; sender and receiver forget the oldest alike. */
  static final int BASES = 32;
  private static final int MAX_BASE = 1 << 18;
  /** How far the two may be apart, and how many equal bytes make them one again. */
  private static final int NEAR = 48, SURE = 12;

  private Delta() {}

  /** The latest, by what names them. */
  static <K, V> Map<K, V> latest(int most) {
    return new LinkedHashMap<>() {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
        return size() > most;
      }
    };
  }

  static boolean mayBeBase(ByteBuffer task) {
    return task.hasArray() && task.remaining() <= MAX_BASE;
  }

  /** Null: they have too little in common. */
  static Frame of(ByteBuffer base, ByteBuffer task) {
    Frame delta = new Frame();
    int at = 0, size = task.remaining();
    for (int from = 0; at < size; ) {
      int same = base.slice(from, base.remaining() - from).mismatch(task.slice(at, size - at));
      if (same < 0) same = size - at;
      int leave = base.remaining() - from - same, own = size - at - same;
      search:
      for (int apart = 1; own > 0 && apart <= 2 * NEAR; apart++) {
        for (int skip = Math.max(0, apart - NEAR); skip <= Math.min(apart, NEAR); skip++) {
          if (!meets(base, from + same + skip, task, at + same + apart - skip)) continue;
          leave = skip;
          own = apart - skip;
          break search;
        }
      }
      delta.u32(same).u32(leave).blob(task.slice(at + same, own));
      if (delta.size() > size / 2) return null;
      from += same + leave;
      at += same + own;
    }
    return delta;
  }

  private static boolean meets(ByteBuffer base, int from, ByteBuffer task, int at) {
    if (from + SURE > base.remaining() || at + SURE > task.remaining()) return false;
    return base.getLong(base.position() + from) == task.getLong(task.position() + at)
        && base.getInt(base.position() + from + 8) == task.getInt(task.position() + at + 8);
  }

  /** @throws RuntimeException for what {@link #of} has not written */
  static ByteBuffer apply(byte[] base, byte[] delta) {
    Frame task = new Frame();
    ByteBuffer in = ByteBuffer.wrap(delta);
    for (int from = 0; in.hasRemaining(); ) {
      int same = in.getInt();
      task.raw(ByteBuffer.wrap(base, from, same));
      from += same + in.getInt();
      task.raw(ByteBuffer.wrap(Frame.readBlob(in)));
    }
    return task.body();
  }
}
