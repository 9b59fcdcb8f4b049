/** Recently deleted instances. The texts come with their page: nobody needs them before. */
export const deleted = {
  title: 'Recently deleted',
  text: 'You can restore a deleted instance, with its files, token and address, until it is removed for good.',
  back: 'Instances',
  none: 'Nothing was deleted recently',
  noneText: 'Instances that you delete are listed here until they are removed for good.',
  sizeUnknown: 'Size unknown',
  deletedAt: 'Deleted',
  removedAt: 'Removed for good',
  restore: 'Restore',
  restored: (name: string) => `Restoring ${name}`,
  failed: (name: string) => `${name} could not be restored`,
  rename: {
    title: (name: string) => `Restore ${name} under another name`,
    text: 'You now have another instance with this name.',
    label: 'Name',
  },
};
