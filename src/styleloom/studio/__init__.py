"""The studio: StyleLoom in a browser, ``styleloom studio``.

A page of Gradio on the service's application (``service/``). Each tab is a file. All of them hand their work to the service's
queue and follow it (``client.py``), so that the page computes nothing. ``parts.py`` has what tabs share to look at.
"""
