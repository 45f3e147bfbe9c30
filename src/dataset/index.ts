/** Datasets, stores and transactions; importing it adds `fromDataset` and `saveAsDataset` to SparkContext and RDD. */
export type * from './contract.ts';
export { attachDatasets, datasetsOf, TRANSACTION_PROPERTY } from './binding.ts';
export { fromDataset, saveAsDataset } from './extensions.ts';
export { openDatasets } from './open.ts';
export { openStore, storeAddress, type StoreAddress } from './open-store.ts';
export { arrayOf, struct } from './schema.ts';
