package sparkproxy;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A frame that is being written; big-endian, as docs/agent-link.md says. */
final class Frame {
  // To the dispatcher or worker.
  static final int HELLO = 1, EXECUTOR = 2, TASKS = 3, KILL = 4, CHOOSE = 5, EVENT = 6, STATUS = 7, PONG = 8;
  // From it.
  static final int CHALLENGE = 32, WELCOME = 33, MODE = 34, GO = 35, CHOICE = 36, FALLBACK = 37, STOP = 38, PING = 39;
  static final int KILL_TASK = 40, RUN = 41, OFFER = 43, AHEAD = 44, BASE = 45;

  private ByteBuffer bytes = ByteBuffer.allocate(256);

  /** Of no type: a part of another. */
  Frame() {}

  Frame(int type) {
    u8(type);
  }

  int size() {
    return bytes.position();
  }

  private ByteBuffer room(int more) {
    if (bytes.remaining() < more) bytes = ByteBuffer.allocate(Math.max(bytes.capacity() * 2, bytes.position() + more)).put(bytes.flip());
    return bytes;
  }

  Frame u8(int value) {
    room(1).put((byte) value);
    return this;
  }

  Frame u32(int value) {
    room(4).putInt(value);
    return this;
  }

  Frame u64(long value) {
    room(8).putLong(value);
    return this;
  }

  Frame string(Object value) {
    return blob(StandardCharsets.UTF_8.encode(String.valueOf(value)));
  }

  Frame blob(ByteBuffer value) {
    return u32(value.remaining()).raw(value);
  }

  Frame map(Map<String, String> map) {
    u32(map.size());
    map.forEach((name, value) -> string(name).string(value));
    return this;
  }

  Frame raw(ByteBuffer value) {
    room(value.remaining()).put(value.duplicate());
    return this;
  }

  /** What has been written; the frame is not used any more. */
  ByteBuffer body() {
    return bytes.flip();
  }

  static String readString(ByteBuffer in) {
    return new String(readBlob(in), StandardCharsets.UTF_8);
  }

  static byte[] readBlob(ByteBuffer in) {
    int length = in.getInt();
    if (length < 0 || length > in.remaining()) throw new IllegalArgumentException("a frame names " + length + " bytes and has " + in.remaining());
    byte[] content = new byte[length];
    in.get(content);
    return content;
  }

  static Map<String, String> readMap(ByteBuffer in) {
    Map<String, String> map = new LinkedHashMap<>();
    for (int left = in.getInt(); left > 0; left--) map.put(readString(in), readString(in));
    return map;
  }
}
