package sparkproxy;

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.GeneralSecurityException;
import java.util.*;
import java.util.regex.*;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;

/**
 * Settings of the driver's agent, first found: agent arguments ({@code k=v;k=v}), Spark conf, environment
 * ({@code SPARK_PROXY_*}), {@code common.properties} in the Spark conf dir or HADOOP_CONF_DIR. And where the dispatcher is.
 */
final class Settings {
  private static final String PREFIX = "spark.proxy.";
  private static final Pattern ADDRESS = Pattern.compile("\"address\"\\s*:\\s*\"([^\"]+)\"");
  private static final Pattern REDIS_ERROR = Pattern.compile("^-(.*)", Pattern.MULTILINE);
  private static final int MAX_REPLY = 65_536;
  private static final int TIMEOUT_MS = 3000;
  private static final Properties ARGUMENTS = new Properties();

  private final SparkConf conf;
  private final Properties file = new Properties();

  Settings(SparkConf conf) {
    this.conf = conf;
    String sparkHome = System.getenv("SPARK_HOME");
    Stream.of(System.getenv("EXTERNAL_SPARK_CONF_DIR"), System.getenv("SPARK_CONF_DIR"), sparkHome == null ? null : sparkHome + "/conf", System.getenv("HADOOP_CONF_DIR"), ".")
        .filter(Objects::nonNull)
        .map(directory -> Path.of(directory, "common.properties"))
        .filter(Files::isReadable)
        .findFirst()
        .ifPresent(this::load);
  }

  private void load(Path path) {
    try (Reader reader = Files.newBufferedReader(path, StandardCharsets.ISO_8859_1)) {
      file.load(reader);
    } catch (IOException | IllegalArgumentException e) {
      Log.warn(path + " cannot be read: " + e.getMessage());
    }
  }

  static void agentArguments(String arguments) {
    for (String pair : arguments == null ? new String[0] : arguments.split(";")) {
      String[] parts = pair.split("=", 2);
      if (parts.length == 2) ARGUMENTS.setProperty(parts[0].strip(), parts[1].strip());
    }
  }

  /** A setting by its name, such as {@code redis.host}; outside of agent arguments and common.properties {@code spark.proxy.redis.host}. */
  String get(String name, String fallback) {
    String full = PREFIX + name;
    return Stream.of(
            ARGUMENTS.getProperty(name), ARGUMENTS.getProperty(full),
            conf.get(full, null),
            System.getenv(full.toUpperCase(Locale.ROOT).replace('.', '_')),
            file.getProperty(name), file.getProperty(full))
        .filter(Objects::nonNull)
        .findFirst()
        .orElse(fallback);
  }

  /** The key of the link, or null: from the first line {@code id: base64} of SPARK_PROXY_KEY or the key file, by HKDF-SHA256 (RFC 5869). */
  byte[] key() {
    String path = get("key.file", null);
    try {
      String text = get("key", path == null ? "" : Files.readString(Path.of(path)));
      String line = text.lines().map(one -> one.replaceFirst("#.*", "").strip()).filter(one -> !one.isEmpty()).findFirst().orElse(null);
      if (line == null) return null;
      byte[] secret = Base64.getDecoder().decode(line.substring(line.indexOf(':') + 1).strip());
      byte[] extracted = Link.hmac(new byte[32]).doFinal(secret);
      return Link.hmac(extracted).doFinal("spark-proxy link 1\u0001".getBytes(StandardCharsets.UTF_8));
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      throw new IllegalStateException("the key of spark.proxy.key.file cannot be used: " + e.getMessage());
    }
  }

  /** The dispatcher's agent port, or null if nobody names one now. */
  InetSocketAddress dispatcher() {
    String direct = get("dispatcher", null);
    if (direct != null) return address(direct);
    String host = get("redis.host", null);
    if (host == null) return null;
    try {
      Matcher found = ADDRESS.matcher(askRedis(host, Integer.parseInt(get("redis.port", "6379").strip())));
      return found.find() ? address(found.group(1)) : null;
    } catch (IOException | NumberFormatException e) {
      throw new IllegalStateException("the register center at " + host + ": " + e.getMessage());
    }
  }

  static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    if (colon <= 0) throw new IllegalArgumentException("expected host:port, not " + text);
    return new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1).strip()));
  }

  /** What Redis says to one GET, all commands in one write. */
  private String askRedis(String host, int port) throws IOException {
    String password = get("redis.password", "");
    String commands = (password.isEmpty() ? "" : command("AUTH", password)) + command("GET", "spark-proxy:" + get("registry.cluster", "default") + ":dispatcher") + command("QUIT");
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(host, port), TIMEOUT_MS);
      socket.setSoTimeout(TIMEOUT_MS);
      socket.getOutputStream().write(commands.getBytes(StandardCharsets.UTF_8));
      String replies = new String(socket.getInputStream().readNBytes(MAX_REPLY), StandardCharsets.UTF_8);
      Matcher error = REDIS_ERROR.matcher(replies);
      if (error.find()) throw new IOException(error.group(1));
      return replies;
    }
  }

  /** As RESP has it. */
  private static String command(String... words) {
    StringBuilder command = new StringBuilder("*" + words.length + "\r\n");
    for (String word : words) command.append('$').append(word.getBytes(StandardCharsets.UTF_8).length).append("\r\n").append(word).append("\r\n");
    return command.toString();
  }
}
