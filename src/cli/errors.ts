import { defineErrors } from '../core/errors.ts';

export const CLI_ERRORS = defineErrors('CLI', {
  UNKNOWN_COMMAND: ['unknown command {command}', 'known commands: {known}; see spark-proxy --help'],
  USAGE: ['{reason}', 'see spark-proxy {command} --help'],
  NOTHING_TO_EXPLAIN: [
    '{program} ended with {code} and left no report',
    'name aspects by --aspects, by SPARK_PROXY_ASPECTS or under "spark-proxy" in package.json, and see what the program printed',
  ],
  NO_DISPATCHER: [
    'no dispatcher service leads at {url}',
    'Start one: spark-proxy dispatcher --url ... (applications that dispatch for themselves answer no operators).',
  ],
  LEADS_NO_MORE: ['{dispatcher} leads no more, and has not answered', 'What it was asked may be done or not: see the status before you ask its successor.'],
  NO_ANSWER: ['{dispatcher} has not answered within {ms} ms', 'It may be stopped or overloaded: see its log.'],
  NO_SUCH_FILE: ['cannot run {file}: there is no such file', 'give the path of a TypeScript or JavaScript program'],
  NO_JAVA: [
    'Apache Spark needs Java {wanted} or newer; found: {found}',
    'install one (Debian: openjdk-17-jdk-headless) and put it on the PATH, or name it in JAVA_HOME',
  ],
  NO_SPARK: [
    'no Apache Spark is found',
    'install Apache Spark 3.5 or newer and name its directory in --spark-home or SPARK_HOME, or put its spark-submit on the PATH',
  ],
  LOCAL_MASTER: [
    "master {master} runs all tasks in the driver's own threads, where none can be moved out",
    'give --master spark://HOST:PORT, yarn or local-cluster[N,CORES,MIB]',
  ],
  NOT_INSTALLED: ['package {name}, which {from} needs, is not installed', 'run npm install, then make the package again'],
  NO_ARCHIVE: ['{file} cannot be made: {reason}', 'install tar, or give a directory instead'],
});
