"""Helpers shared by the tests. Which one to take:

| you need | take | cost |
|---|---|---|
| a whole finished study in a clone of its own (smoke preset) | `cloned_study` | minutes |
| the chain's file names, records and reports, with toy steps | `toy_study` | milliseconds |
| finished predictions and metrics for the report and the promises | `report_study` | milliseconds |
| finished video outputs of two children for the review app, one recording held | `review_study` | milliseconds |
| clips with a visible cue, part tables and settings for any model | `small_study` | a second |
| clips rendered from the true motion of synthetic children, one item planted | `walking_study` | seconds |
| the training loop alone: a few numbers, no clips | `toy_training` | a second |
| pre-training alone: windows whose keypoints and targets go together | `fake_walks` | a second |
| keypoints of a walking stick child, from any view | `stick_child` | milliseconds |
| a flat walking figure before a wall, with true mask and keypoints | `walk_scene` | a second |
| short recordings of different children and rooms, as files | `walking_videos` | a second |
| a real face (public-domain portrait) moving before a wall | `portrait_scene` | a second |
| settings of the stream of painted synthetic walks | `walk_stream` | a second per child and view |
| every reader of a user's file, with a valid content | `user_file_readers` | - |
| malformed files: planned, from elsewhere, mutated | `hostile_files`, `hostile_deliveries`, `mutated_files` | - |
| a bundle without a study | `small_bundle` | milliseconds |
| the smoke study under kills, full disks and other faults | `disturbed_study` | minutes |
| the mark `slow` on some rows of a parametrised test | `marks` | - |
| a real browser, and an application served to it | `chromium` | seconds |
| an attack on a covered face | `attack` | seconds |
| SAM 3's real classes, tiny, random weights | `tiny_sam3` | seconds |
"""
