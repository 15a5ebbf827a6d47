"""Real analysers over a code base, told in one language.

* :mod:`.analyze`       runs the detectors side by side and builds the document
* :mod:`.detectors`     one small file for each analyser, behind one interface
* :mod:`.files`         which files belong to the project
* :mod:`.processes`     programs run within bounds
* :mod:`.severity`      how bad a finding is, decided in one place
* :mod:`.fingerprints`  what makes two findings the same issue
* :mod:`.source_text`   lines of files, and secrets kept out of what is shown
* :mod:`.report`        ``.odavl/problems-panel-export.json``
* :mod:`.sarif_import`  SARIF of any tool in, :mod:`.sarif_export` SARIF out
"""
