/* Preloaded by tests/run.sh --sanitize: libraries that a plug-in system closes before the end stay mapped, so that the
 * leak checker can name the frames of what they never freed, and tests/lsan.supp can tell theirs from ours. */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
