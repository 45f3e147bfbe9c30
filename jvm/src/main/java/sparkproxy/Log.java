package sparkproxy;

/** Lines on standard error: Spark's own logging may not be there yet when the agent speaks. */
final class Log {
  private static final boolean DEBUG = "debug".equalsIgnoreCase(System.getenv("SPARK_PROXY_LOG_LEVEL"));

  private Log() {}

  static void info(String message) {
    System.err.println("spark-proxy agent: " + message);
  }

  static void warn(String message) {
    System.err.println("spark-proxy agent: WARN " + message);
  }

  static void debug(String message) {
    if (DEBUG) info(message);
  }
}
