package sparkproxy;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A frame that is being written; big-endian, as docs/agent-link.md says. */
final class Frame {
  // To the dispatcher or worker.
  static final int HELLO = 1, NONCE = 2, TASKS = 3, CHOOSE = 5, EVENT = 6, STATUS = 7, PONG = 8;
  // From it.
  static final int CHALLENGE = 32, WELCOME = 33, MODE = 34, GO = 35, CHOICE = 36, FALLBACK = 37, STOP = 38, PING = 39;
  static final int KILL_TASK = 40, RUN = 41, OFFER = 43, AHEAD = 44, LOST = 45;

  private ByteBuffer bytes = ByteBuffer.allocate(256);

  Frame(int type) {
    bytes.put((byte) type);
  }

  /** What has happened, in words. */
  static Frame event(Object... words) {
    Frame frame = new Frame(EVENT);
    for (Object word : words) frame.string(word);
    return frame;
  }

  private ByteBuffer room(int more) {
    if (bytes.remaining() < more) bytes = ByteBuffer.allocate(Math.max(bytes.capacity() * 2, bytes.position() + more)).put(bytes.flip());
    return bytes;
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

  Frame raw(ByteBuffer value) {
    room(value.remaining()).put(value.duplicate());
    return this;
  }

  /** What has been written; the frame is not used any more. */
  ByteBuffer body() {
    return bytes.flip();
  }

  static String readString(ByteBuffer in) {
    int length = in.getInt();
    if (length < 0 || length > in.remaining()) throw new IllegalArgumentException("a frame names " + length + " bytes and has " + in.remaining());
    byte[] content = new byte[length];
    in.get(content);
    return new String(content, StandardCharsets.UTF_8);
  }

  /** Names and values to its end. */
  static Map<String, String> readMap(ByteBuffer in) {
    Map<String, String> map = new LinkedHashMap<>();
    while (in.hasRemaining()) map.put(readString(in), readString(in));
    return map;
  }
}
