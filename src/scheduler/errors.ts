import { defineErrors } from '../core/errors.ts';

export const SCHEDULER_ERRORS = defineErrors('SCHEDULER', {
  CONTEXT_STOPPED: ['this SparkContext was stopped', 'create a new SparkContext, and stop it after the last action'],
  CONTEXT_IN_TASK: ['a SparkContext cannot be used inside a task', 'transformations and actions run on the driver; broadcast or join what the task needs'],
  CONTEXT_MADE_IN_TASK: [
    'a task uses a SparkContext that was made in it, or in a module that it imports',
    'use it in the main module only, and keep what tasks import in modules that use none',
  ],
  JOB_ABORTED: ['Job aborted due to stage failure: {reason}', 'the cause is the error of the last attempt'],
  JOB_CANCELLED: ['job {jobId} was cancelled: {reason}', 'nothing to do: somebody cancelled it or stopped the context'],
  STAGE_GAVE_UP: [
    'stage {stageId} ({name}) lost its shuffle input {attempts} times in a row',
    'look at the executors: they die or lose their local directories',
  ],
  RESULT_TOO_LARGE: [
    'the results of job {jobId} have {size} bytes so far, more than spark.driver.maxResultSize ({limit})',
    'save them to files, reduce them first, or raise spark.driver.maxResultSize',
  ],
  BAD_MASTER: ['master {master} is not known here', 'use local, local[N] or local[*]; an application for Apache Spark is run by spark-proxy submit'],
});
