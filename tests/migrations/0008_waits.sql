UPDATE tasks SET waits = 1 WHERE attempts > 1;
