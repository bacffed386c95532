# PHP 8.5 (Apache, Composer) · index.php
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM php:8.5-apache
ENV PORT=8080 APACHE_DOCUMENT_ROOT="/var/www/html"
RUN sed -ri 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \
 && sed -ri 's/:80>/:${PORT}>/' /etc/apache2/sites-available/*.conf \
 && sed -ri 's#/var/www/html#${APACHE_DOCUMENT_ROOT}#' /etc/apache2/sites-available/*.conf \
 && a2enmod rewrite \
 && docker-php-ext-install pdo_mysql \
 && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \
 && chown www-data:www-data /var/www/html
WORKDIR /var/www/html
RUN apt-get update && apt-get install --yes --no-install-recommends git unzip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=composer:2 /usr/bin/composer /usr/bin/composer
COPY ["composer.json", "./"]
RUN --mount=type=cache,target=/root/.composer/cache \
    composer install --no-dev --no-scripts --no-autoloader --no-interaction
COPY --chown=www-data:www-data . .
RUN composer dump-autoload --optimize --no-dev --no-scripts
USER www-data
EXPOSE 8080
ENTRYPOINT []
CMD ["apache2-foreground"]
# ---
# kind php, web, port 8080, because of composer.json, index.php
